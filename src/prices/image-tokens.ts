/** Tokens of an image, as each provider says that it counts them. */
import type { ImageSize } from '../lib/prompt-size.ts';
import type { ProviderKind } from '../routetable/types.ts';

/** Of an image whose size is not told. */
const USUAL_PIXELS = 1_024;

export function imageTokens(provider: ProviderKind, model: string, { width, height, low }: ImageSize): number {
  const size = { width: Math.max(1, width ?? USUAL_PIXELS), height: Math.max(1, height ?? USUAL_PIXELS) };
  if (provider === 'Anthropic' || model.includes('claude')) return anthropic(size);
  if (provider === 'Gemini' || provider === 'VertexAI' || model.startsWith('gemini')) return gemini(size);
  return openAI(model, size, low);
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** docs.claude.com, Vision: scaled to 1,568 pixels and about 1,600 tokens at most, then (width × height) ÷ 750. */
function anthropic(size: Size): number {
  const { width, height } = within(size, 1_568);
  return Math.min(1_600, Math.ceil((width * height) / 750));
}

/** ai.google.dev, Understand and count tokens: 258 up to 384 pixels on both sides, else 258 for each tile of 768. */
function gemini({ width, height }: Size): number {
  if (width <= 384 && height <= 384) return 258;
  return 258 * Math.ceil(width / 768) * Math.ceil(height / 768);
}

/** Base and tile of those that count tiles of 512 pixels (platform.openai.com, Images and vision). */
const TILES: readonly (readonly [RegExp, number, number])[] = [
  [/^gpt-4o-mini/, 2_833, 5_667],
  [/^(o1|o3)(-|$)/, 75, 150],
  [/^gpt-5(?!.*(mini|nano))/, 70, 140],
];
/** Factor of those that count patches of 32 pixels, 1,536 at most. */
const PATCHES: readonly (readonly [RegExp, number])[] = [
  [/^gpt-(4\.1|5)-mini/, 1.62],
  [/^gpt-(4\.1|5)-nano/, 2.46],
  [/^o4-mini/, 1.72],
];

function openAI(model: string, size: Size, low: boolean): number {
  const factor = PATCHES.find(([name]) => name.test(model))?.[1];
  if (factor !== undefined) {
    const patches = Math.ceil(size.width / 32) * Math.ceil(size.height / 32);
    return Math.ceil(Math.min(1_536, patches) * factor);
  }
  const [, base, tile] = TILES.find(([name]) => name.test(model)) ?? [null, 85, 170];
  if (low) return base;
  // Within 2,048 pixels, then the shorter side to 768.
  const fitted = within(size, 2_048);
  const scale = Math.min(1, 768 / Math.min(fitted.width, fitted.height));
  return base + tile * Math.ceil((fitted.width * scale) / 512) * Math.ceil((fitted.height * scale) / 512);
}

function within({ width, height }: Size, longest: number): Size {
  const scale = Math.min(1, longest / Math.max(width, height));
  return { width: width * scale, height: height * scale };
}
