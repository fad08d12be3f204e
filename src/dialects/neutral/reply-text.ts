/** What the writers of all streams have in common: the text that waits to be taken, and what had no place in it. */
import type { LostPart } from './reply.ts';

export class ReplyText {
  readonly lostParts = new Set<LostPart>();
  protected out = '';

  take(): string {
    const { out } = this;
    this.out = '';
    return out;
  }

  lost(what: LostPart): void {
    this.lostParts.add(what);
  }
}
