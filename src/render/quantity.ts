const QUANTITY = /^([0-9]+)(?:\.([0-9]+))?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
/** The API server keeps nothing smaller, and rounds up. */
const NANO = 10n ** 9n;
const SMALL = ['n', 'u', 'm'];

/**
 * A resource quantity as the API server writes it (`1000m` → `1`, `1.5Gi` → `1536Mi`): what is applied is then what is read back, and
 * comparing the two finds no difference for ever. What is no quantity stays as it is, for the API server to refuse.
 */
export function canonicalQuantity(quantity: string | number): string {
  const text = String(quantity);
  const found = QUANTITY.exec(text);
  if (found === null) return text;
  const [, whole = '', fraction = '', suffix = ''] = found;
  const binary = BINARY.indexOf(suffix);
  const scaled = BigInt(whole + fraction) * NANO * factorOf(suffix, binary);
  const divisor = 10n ** BigInt(fraction.length) * (suffix === 'm' ? 1000n : 1n);
  const nanos = (scaled + divisor - 1n) / divisor;
  // The server leaves the binary form for what is below its smallest unit.
  return binary > 0 && nanos >= 1024n * NANO ? binaryForm((nanos + NANO - 1n) / NANO) : decimalForm(nanos);
}

function factorOf(suffix: string, binary: number): bigint {
  if (binary > 0) return 1024n ** BigInt(binary);
  return suffix === 'm' ? 1n : 1000n ** BigInt(DECIMAL.indexOf(suffix));
}

function binaryForm(value: bigint): string {
  return inUnits(value, 1024n, BINARY);
}

function decimalForm(nanos: bigint): string {
  if (nanos === 0n) return '0';
  return inUnits(nanos, 1000n, [...SMALL, ...DECIMAL]);
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
