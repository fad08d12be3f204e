/** What Gemini tells beside its text: where it has it from, and how likely each token was. */
import type { ReplySink } from '../../dialects/neutral/reply.ts';
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';

/** https://ai.google.dev/gemini-api/docs/google-search: what is said in which part of the text is told by places in a list of sources. */
export function readGrounding(metadata: unknown, text: string, sink: ReplySink): void {
  if (!isObject(metadata)) return;
  const sources = objectsOf(metadata['groundingChunks']).map(sourceOf);
  const supports = objectsOf(metadata['groundingSupports']);
  const cited = new Set<number>();
  for (const support of supports) {
    const span = spanOf(support['segment'], text);
    const indices: unknown = support['groundingChunkIndices'];
    for (const index of Array.isArray(indices) ? (indices as readonly unknown[]) : []) {
      const source = typeof index === 'number' ? sources[index] : undefined;
      if (source === undefined || typeof index !== 'number') continue;
      cited.add(index);
      if (source.url === '') sink.lost('citations');
      else sink.citation({ ...source, quote: '', span });
    }
  }
  for (const [index, source] of sources.entries()) {
    if (cited.has(index)) continue;
    if (source.url === '') sink.lost('citations');
    else sink.citation({ ...source, quote: '', span: null });
  }
}

/** The web, Maps, and what the user has stored, which may have no address. */
function sourceOf(chunk: JsonObject): { url: string; title: string } {
  const given = chunk['web'] ?? chunk['maps'] ?? chunk['retrievedContext'];
  const source: JsonObject = isObject(given) ? given : {};
  return { url: stringOf(source['uri']), title: stringOf(source['title']) };
}

/** Text that stands in a source word by word. https://ai.google.dev/api/generate-content#citationmetadata; Vertex AI's list has another name. */
export function readRecitations(metadata: unknown, text: string, sink: ReplySink): void {
  if (!isObject(metadata)) return;
  for (const source of [...objectsOf(metadata['citationSources']), ...objectsOf(metadata['citations'])]) {
    const url = stringOf(source['uri']);
    if (url === '') sink.lost('citations');
    else sink.citation({ url, title: stringOf(source['title']), quote: '', span: spanOf(source, text) });
  }
}

/** Google counts bytes of UTF-8. */
function spanOf(segment: unknown, text: string): { start: number; end: number } | null {
  if (!isObject(segment) || typeof segment['endIndex'] !== 'number') return null;
  const { startIndex, endIndex } = segment;
  const bytes = Buffer.from(text);
  const chars = (count: number): number => bytes.subarray(0, Math.max(0, count)).toString('utf8').length;
  return { start: chars(typeof startIndex === 'number' ? startIndex : 0), end: chars(endIndex) };
}

/** https://ai.google.dev/api/generate-content#LogprobsResult */
export function readLogprobs(result: unknown, sink: ReplySink): void {
  if (!isObject(result)) return;
  const tops = objectsOf(result['topCandidates']);
  sink.logprobs(
    objectsOf(result['chosenCandidates']).map((chosen, index) => ({
      ...tokenOf(chosen),
      top_logprobs: objectsOf(tops[index]?.['candidates']).map(tokenOf),
    })),
  );
}

function tokenOf(candidate: JsonObject): { token: string; logprob: number; bytes: readonly number[] } {
  const token = stringOf(candidate['token']);
  const { logProbability } = candidate;
  return { token, logprob: typeof logProbability === 'number' ? logProbability : 0, bytes: [...Buffer.from(token)] };
}
