import type { ToolResultPart, Turn } from '../../dialects/neutral/conversation.ts';

/**
 * For providers whose results bear the tool's name and no id: they tell two calls of one tool apart by their order alone, so results are
 * put in that of their calls. Those of no known call come last.
 */
export function resultsInOrder(turns: readonly Turn[]): readonly Turn[] {
  const places = new Map<string, number>();
  const place = ({ id }: ToolResultPart): number => places.get(id) ?? Number.MAX_SAFE_INTEGER;
  let calls = 0;
  return turns.map((turn) => {
    for (const part of turn.parts) if (part.kind === 'toolCall') places.set(part.id, calls++);
    const results = turn.parts.filter((part) => part.kind === 'toolResult');
    if (results.length < 2) return turn;
    results.sort((a, b) => place(a) - place(b));
    let next = 0;
    return { ...turn, parts: turn.parts.map((part) => (part.kind === 'toolResult' ? (results[next++] ?? part) : part)) };
  });
}
