const QUANTITY = /^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;

const FACTOR: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** Kubernetes' resource quantity (`32Mi`, `1.5G`, 1024) → a whole number, rounded down; null: none, or beyond what is exact. */
export function parseQuantity(quantity: string | number): number | null {
  const found = QUANTITY.exec(String(quantity));
  if (found === null) return null;
  const amount = Math.floor(Number(found[1]) * (found[2] === undefined ? 1 : (FACTOR[found[2]] ?? NaN)));
  return Number.isSafeInteger(amount) ? amount : null;
}
