/**
 * Azure's content-filter annotations, in the spellings seen: `content_filter_results`, `content_filter_result`, and Responses'
 * `content_filters: [{blocked, source_type, content_filter_results}]`. Only `filtered: true` means that content was acted on:
 * `detected`, and a severity, are remarks (https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter-annotations).
 */
import { isObject, objectsOf, type JsonObject } from '../../lib/json.ts';

const MAX_CATEGORIES = 16;
const MAX_CATEGORY_CHARS = 64;

export class FilterFindings {
  readonly categories: string[] = [];
  phase: 'prompt' | 'completion' | null = null;
  /** Something was filtered, whether or not its category is known. */
  filtered = false;

  /** Collects from an object that may carry annotations under any of the known names. */
  add(holder: JsonObject): void {
    this.#addResults(holder['content_filter_results']);
    this.#addResults(holder['content_filter_result']);
    for (const filter of objectsOf(holder['content_filters'])) {
      if (filter['blocked'] !== true) continue;
      this.filtered = true;
      this.addPhase(filter['source_type'] === 'completion' ? 'completion' : 'prompt');
      this.#addResults(filter['content_filter_results']);
    }
  }

  /** Collects from `prompt_filter_results`: a list of `{prompt_index, content_filter_results}`. */
  addPrompts(results: unknown): void {
    for (const result of objectsOf(results)) this.add(result);
  }

  addNames(names: unknown): void {
    if (!Array.isArray(names)) return;
    for (const name of names) if (typeof name === 'string') this.#addCategory(name);
  }

  addPhase(phase: 'prompt' | 'completion'): void {
    this.phase ??= phase;
  }

  #addResults(results: unknown): void {
    if (!isObject(results)) return;
    for (const category of Object.keys(results)) {
      if (!isFiltered(results[category])) continue;
      this.filtered = true;
      this.#addCategory(category);
    }
  }

  #addCategory(name: string): void {
    // The documentation itself has printed `self-harm` for `self_harm`.
    const category = name.slice(0, MAX_CATEGORY_CHARS).replaceAll('-', '_');
    if (this.categories.length < MAX_CATEGORIES && !this.categories.includes(category)) this.categories.push(category);
  }
}

/** `{filtered, severity}`; custom_blocklists also as `{filtered, details: […]}` or as a bare list. */
function isFiltered(result: unknown): boolean {
  if (Array.isArray(result)) return result.some(isFiltered);
  return isObject(result) && result['filtered'] === true && result['severity'] !== 'safe';
}

export function filterFindings(holder: JsonObject): FilterFindings {
  const findings = new FilterFindings();
  findings.add(holder);
  return findings;
}
