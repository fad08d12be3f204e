/** How the built-in list says which names a price is for, as @pydantic/genai-prices writes it. */
export type Names =
  | { readonly equals: string }
  | { readonly starts_with: string }
  | { readonly ends_with: string }
  | { readonly contains: string }
  | { readonly regex: string }
  | { readonly or: readonly Names[] }
  | { readonly and: readonly Names[] };

/** `name` in lower case. The list's expressions are short and linear, and so are names: whoever calls bounds them. */
export function isNamed(names: Names, name: string): boolean {
  if ('equals' in names) return name === names.equals;
  if ('starts_with' in names) return name.startsWith(names.starts_with);
  if ('ends_with' in names) return name.endsWith(names.ends_with);
  if ('contains' in names) return name.includes(names.contains);
  if ('regex' in names) return new RegExp(names.regex).test(name);
  if ('or' in names) return names.or.some((one) => isNamed(one, name));
  return names.and.every((one) => isNamed(one, name));
}
