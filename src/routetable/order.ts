/** The one order of canonical lists: by UTF-16 code unit, on every machine and in every locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
