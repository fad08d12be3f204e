/** Periods of a calendar in a time zone: what budgets by the day or month are counted in. Pure: the moment is handed in. */

export const CALENDAR_PERIODS = ['Hour', 'Day', 'Week', 'Month', 'Year'] as const;

export interface Calendar {
  readonly period: (typeof CALENDAR_PERIODS)[number];
  /** IANA name, e.g. `Europe/Rome`. */
  readonly timeZone: string;
}

/** From `startMs` on and before `endMs`, milliseconds since the epoch. A zone's periods follow each other without a gap. */
export interface Period {
  readonly startMs: number;
  readonly endMs: number;
}

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Farther from a local time than any zone's offset, a day that a zone leaves out included. */
const PROBE_MS = 36 * HOUR_MS;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether this machine knows the zone. */
export function isTimeZone(timeZone: string): boolean {
  try {
    formatOf(timeZone);
    return true;
  } catch {
    return false;
  }
}

/**
 * The period that a moment is in. Days begin when the zone's clocks first show their date, so they have 23 or 25 hours where clocks
 * change; weeks begin on Monday (ISO 8601). An hour that clocks repeat is two, one that they cut short ends there.
 */
export function periodAt({ period, timeZone }: Calendar, atMs: number): Period {
  const zone = new Zone(timeZone);
  if (period === 'Hour') return hourAt(zone, atMs);
  let first = firstDay(period, zone.localMs(atMs));
  let startMs = zone.beginsMs(first);
  // Clocks that go back over midnight show a date again that is over.
  for (;;) {
    const next = nextFirstDay(period, first);
    const endMs = zone.beginsMs(next);
    if (atMs < endMs) return { startMs, endMs };
    first = next;
    startMs = endMs;
  }
}

function hourAt(zone: Zone, atMs: number): Period {
  const offsetMs = zone.offsetMs(atMs);
  const startMs = Math.floor((atMs + offsetMs) / HOUR_MS) * HOUR_MS - offsetMs;
  const endMs = startMs + HOUR_MS;
  return {
    startMs: zone.offsetMs(startMs) === offsetMs ? startMs : zone.changeMs(startMs, atMs),
    endMs: zone.offsetMs(endMs - 1) === offsetMs ? endMs : zone.changeMs(atMs, endMs),
  };
}

/** Local dates are numbers as well: the moment at which UTC's clocks show the same. */
function firstDay(period: Exclude<Calendar['period'], 'Hour'>, localMs: number): number {
  const date = new Date(localMs);
  const day = Math.floor(localMs / DAY_MS) * DAY_MS;
  switch (period) {
    case 'Day':
      return day;
    case 'Week':
      return day - ((date.getUTCDay() + 6) % 7) * DAY_MS;
    case 'Month':
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
    case 'Year':
      return Date.UTC(date.getUTCFullYear(), 0, 1);
  }
}

function nextFirstDay(period: Exclude<Calendar['period'], 'Hour'>, first: number): number {
  const date = new Date(first);
  switch (period) {
    case 'Day':
      return first + DAY_MS;
    case 'Week':
      return first + 7 * DAY_MS;
    case 'Month':
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
    case 'Year':
      return Date.UTC(date.getUTCFullYear() + 1, 0, 1);
  }
}

class Zone {
  readonly #format: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    this.#format = formatOf(timeZone);
  }

  localMs(atMs: number): number {
    const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of this.#format.formatToParts(atMs)) shown[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = shown;
    return Date.UTC(year, month - 1, day, hour, minute, second) + (((atMs % SECOND_MS) + SECOND_MS) % SECOND_MS);
  }

  offsetMs(atMs: number): number {
    return this.localMs(atMs) - atMs;
  }

  /** When clocks first show this local time, or, where they leave it out, jump over it. */
  beginsMs(local: number): number {
    const earlier = local - this.offsetMs(local - PROBE_MS);
    const later = local - this.offsetMs(local + PROBE_MS);
    const [first, second] = earlier <= later ? [earlier, later] : [later, earlier];
    if (this.localMs(first) === local) return first;
    return this.localMs(second) === local ? second : this.changeMs(first, second);
  }

  /** The first moment after `fromMs`, up to `toMs`, whose offset is another one than at `fromMs`. */
  changeMs(fromMs: number, toMs: number): number {
    const offsetMs = this.offsetMs(fromMs);
    let before = fromMs;
    let after = toMs;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.offsetMs(middle) === offsetMs) before = middle;
      else after = middle;
    }
    return after;
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
  }
  return format;
}
