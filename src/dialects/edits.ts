/** Replaces the bytes `[start, end)` by `text`, which is in UTF-8 where it is bytes; an insertion where both are equal. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string | Buffer;
}

/** `bytes` with the edits made, which must not overlap; sorts them. One allocation, all other bytes copied as they are. */
export function applyEdits(bytes: Buffer, edits: Edit[]): Buffer {
  sort(edits);
  let size = bytes.length;
  for (const edit of edits) size += Buffer.byteLength(edit.text) - (edit.end - edit.start);
  const out = Buffer.allocUnsafe(size);
  let from = 0;
  let to = 0;
  for (const edit of edits) {
    to += bytes.copy(out, to, from, edit.start);
    to += typeof edit.text === 'string' ? out.write(edit.text, to) : edit.text.copy(out, to);
    from = edit.end;
  }
  bytes.copy(out, to, from);
  return out;
}

/** As `applyEdits`, but in pieces, of which those that stay lie in `bytes`: nothing is copied. */
export function editedPieces(bytes: Buffer, edits: Edit[]): Buffer[] {
  sort(edits);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const edit of edits) {
    if (edit.start > from) pieces.push(bytes.subarray(from, edit.start));
    if (edit.text.length > 0) pieces.push(typeof edit.text === 'string' ? Buffer.from(edit.text) : edit.text);
    from = edit.end;
  }
  if (from < bytes.length) pieces.push(bytes.subarray(from));
  return pieces;
}

/** They are few, and mostly in order. Of those with one place the first comes first. */
function sort(edits: Edit[]): void {
  for (let at = 1; at < edits.length; at++) {
    if ((edits[at]?.start ?? 0) >= (edits[at - 1]?.start ?? 0)) continue;
    edits.sort((a, b) => a.start - b.start);
    return;
  }
}
