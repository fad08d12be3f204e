/** What a pod tells of its upstreams: those it keeps traffic from now. */
import type { UpstreamReport } from '../../routetable/stream-messages.ts';
import type { HealthTransition } from '../../selection/health.ts';

export class UpstreamReports {
  readonly #reports = new Map<string, UpstreamReport & { readonly untilMs: number }>();

  /** Returns whether there is anything new to tell. `wallMs`: now. */
  told({ upstreamId, credentialId, to, reason, operation, forMs }: HealthTransition, wallMs: number): boolean {
    // One operation that a model does not have says nothing of the others.
    if (operation !== null) return false;
    const key = `${upstreamId}\n${credentialId ?? ''}`;
    if (to === 'Healthy') return this.#reports.delete(key);
    const sinceMs = this.#reports.get(key)?.sinceMs ?? Math.round(wallMs);
    // An ejected upstream stays so until a request has shown that it is well; a cool-down is over with its time.
    const untilMs = to === 'Ejected' ? Infinity : wallMs + forMs;
    this.#reports.set(key, { upstreamId, credentialId, state: to, reason, sinceMs, untilMs });
    return true;
  }

  /** `inTable`: upstreams that are still served; the others are of no interest any more. */
  list(wallMs: number, inTable: (upstreamId: string) => boolean): readonly UpstreamReport[] {
    const found: UpstreamReport[] = [];
    for (const [key, { untilMs, ...report }] of this.#reports) {
      if (wallMs >= untilMs || !inTable(report.upstreamId)) this.#reports.delete(key);
      else found.push(report);
    }
    return found;
  }
}
