/** What a request's `cache-control` asks of the cache (RFC 9111, section 5.2.1), as far as it means something here. */
export interface CacheControl {
  /** Neither look nor keep. */
  readonly noStore: boolean;
  /** The oldest answer that is welcome; 0 (`no-cache`): none, but the new one is kept. null: of whatever age. */
  readonly maxAgeMs: number | null;
}

const ANY: CacheControl = { noStore: false, maxAgeMs: null };

export function cacheControl(header: string | undefined): CacheControl {
  if (header === undefined) return ANY;
  let noStore = false;
  let maxAgeMs: number | null = null;
  for (const part of header.toLowerCase().split(',')) {
    const directive = part.trim();
    if (directive === 'no-store') noStore = true;
    else if (directive === 'no-cache') maxAgeMs = 0;
    const seconds = /^max-age="?(\d{1,10})"?$/.exec(directive)?.[1];
    if (seconds !== undefined) maxAgeMs = Math.min(maxAgeMs ?? Infinity, Number(seconds) * 1000);
  }
  return { noStore, maxAgeMs };
}
