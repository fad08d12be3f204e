/** What a measurement prints. */

export function figures(values: readonly number[]): { mean: number; p50: number; p99: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN);
  return { mean: round(sorted.reduce((sum, value) => sum + value, 0) / sorted.length), p50: at(0.5), p99: at(0.99), max: at(1) };
}

export const round = (value: number): number => Math.round(value * 10) / 10;
export const say = (text: string): void => void process.stderr.write(`${text}\n`);
