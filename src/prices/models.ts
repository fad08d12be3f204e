/** What models can do and how much they take, by the list that is built in. */
import list from './model-list.generated.json' with { type: 'json' };
import { bareName, undatedName, unregionalName } from './names.ts';

/** null: the list does not say. */
export interface ModelFacts {
  readonly tools: boolean | null;
  readonly jsonSchema: boolean | null;
  readonly vision: boolean | null;
  /** Without output. */
  readonly inputTokens: number | null;
  readonly maxOutputTokens: number | null;
}

/** `seller`: as `sellerOf` calls who serves it; null: not in the list. */
export function modelFacts(seller: string, model: string): ModelFacts | null {
  const names = SELLERS.get(seller);
  if (names === undefined) return null;
  const name = unregionalName(bareName(model));
  const line = names.get(name) ?? names.get(undatedName(name));
  return line === undefined ? null : factsOf(line);
}

/** Names and what is said of them, by seller: most input tokens, most output tokens, what it can; `-`: not said. */
const SELLERS = new Map(
  Object.entries(list.sellers).map(([seller, models]) => [seller, new Map<string, string>(Object.entries(models))]),
);

/** That it cannot is believed of images alone: a list that does not say of a model that it has tools has often not asked. */
function factsOf(line: string): ModelFacts {
  const [input = '-', output = '-', flags = ''] = line.split(' ');
  return {
    tools: flags.includes('t') ? true : null,
    jsonSchema: flags.includes('j') ? true : null,
    vision: flags.includes('v') ? true : flags.includes('x') ? false : null,
    inputTokens: input === '-' ? null : Number(input),
    maxOutputTokens: output === '-' ? null : Number(output),
  };
}
