const QUANTITY = /^([0-9]+)(?:\.([0-9]+))?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;
const SMALL = ['n', 'u', 'm'];
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
/** Of what a container asks for, the API server keeps nothing smaller than a thousandth, and rounds up. */
const MILLI = 1000n;

/**
 * An amount of a container's resource as the API server writes it (`1000m` → `1`, `1.5Gi` → `1536Mi`): what is applied is then what is
 * read back, and comparing the two finds no difference for ever. What is no quantity stays as it is, for the API server to refuse.
 */
export function canonicalQuantity(quantity: string | number): string {
  const text = String(quantity);
  const found = QUANTITY.exec(text);
  if (found === null) return text;
  const [, whole = '', fraction = '', suffix = ''] = found;
  const small = SMALL.indexOf(suffix);
  const binary = BINARY.indexOf(suffix);
  const factor = small >= 0 ? 1n : binary > 0 ? 1024n ** BigInt(binary) : 1000n ** BigInt(DECIMAL.indexOf(suffix));
  const divisor = 10n ** BigInt(fraction.length) * (small >= 0 ? 1000n ** BigInt(SMALL.length - small) : 1n);
  const millis = (BigInt(whole + fraction) * MILLI * factor + divisor - 1n) / divisor;
  // The server leaves the binary form for what is below its smallest unit, or no whole number.
  if (binary > 0 && millis >= 1024n * MILLI && millis % MILLI === 0n) return inUnits(millis / MILLI, 1024n, BINARY);
  return millis === 0n ? '0' : inUnits(millis, 1000n, ['m', ...DECIMAL]);
}

/** The largest unit that leaves a whole number. */
function inUnits(value: bigint, step: bigint, units: readonly string[]): string {
  let rest = value;
  let unit = 0;
  while (unit < units.length - 1 && rest % step === 0n) {
    rest /= step;
    unit += 1;
  }
  return `${rest}${units[unit] ?? ''}`;
}
