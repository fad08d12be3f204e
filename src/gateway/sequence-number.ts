const SEQUENCE_NUMBER = /"sequence_number": ?(\d{1,15})\b/;

/** What follows the event with this data, in a dialect that numbers its events; 0 where it has no number. */
export function sequenceNumberAfter(data: string): number {
  const last = SEQUENCE_NUMBER.exec(data);
  return last === null ? 0 : Number(last[1]) + 1;
}
