/** For the fuzz tests of HTTP/1.1 parsers: damaged messages, cut anywhere. */

/** Numbers that are the same for the same seed. */
export function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const MARKS = '\r\n|\r|\n|\r\n\r\n| |\t|:|;|,|0|1|a|f|\0|\x7f|\xa0|\xff|"|-|0x|HTTP/1.1| 200 '.split('|');

/** One of the messages, with up to three places of it taken away, doubled, or written over with one of the pieces. Latin-1. */
export function damaged(messages: readonly string[], pieces: readonly string[], pick: (below: number) => number): string {
  const all = [...MARKS, ...pieces];
  let message = messages[pick(messages.length)] ?? '';
  for (let times = pick(4); times > 0; times--) {
    const at = pick(message.length + 1);
    const to = Math.min(message.length, at + pick(8));
    const piece = all[pick(all.length)] ?? '';
    const changed = [
      message.slice(0, at) + message.slice(to),
      message.slice(0, at) + piece + message.slice(at),
      message.slice(0, at) + piece + message.slice(to),
      message.slice(0, to) + message.slice(at),
    ];
    message = changed[pick(changed.length)] ?? message;
  }
  return message;
}

/** The bytes in parts of random lengths. */
export function cut(bytes: Buffer, pick: (below: number) => number): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(bytes.length, from + 1 + pick(pick(2) === 0 ? 4 : 100));
    parts.push(bytes.subarray(from, to));
    from = to;
  }
  return parts;
}
