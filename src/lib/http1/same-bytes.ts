/** From so many on a native comparison takes less than this loop, which runs within the code that asks for it. */
const NATIVE_FROM_BYTES = 512;

/** How many bytes of `known` from `at` on are those of `bytes` from `from` on. */
export function countSameBytes(known: Buffer, at: number, bytes: Buffer, from: number): number {
  const length = Math.min(known.length - at, bytes.length - from);
  let same = 0;
  while (same < length && known[at + same] === bytes[from + same]) same += 1;
  return same;
}

/** Whether the bytes of `known` from `at` to before `end` are those of `bytes` from `from` on. */
export function isSameBytes(known: Buffer, at: number, end: number, bytes: Buffer, from: number): boolean {
  const length = end - at;
  if (bytes.length - from < length) return false;
  if (length >= NATIVE_FROM_BYTES) return known.compare(bytes, from, from + length, at, end) === 0;
  for (let i = 0; i < length; i++) if (known[at + i] !== bytes[from + i]) return false;
  return true;
}

/** As `isSameBytes`, in a time that does not tell which of the bytes differ. */
export function isSameSecret(known: Buffer, at: number, end: number, bytes: Buffer, from: number): boolean {
  const length = end - at;
  if (bytes.length - from < length) return false;
  let different = 0;
  for (let i = 0; i < length; i++) different |= (known[at + i] ?? 0) ^ (bytes[from + i] ?? 0);
  return different === 0;
}
