export const OPERATIONS = [
  'chat',
  'completions',
  'embeddings',
  'responses',
  'messages',
  'count_tokens',
  'images_generations',
  'images_edits',
  'images_variations',
  'audio_speech',
  'audio_transcriptions',
  'audio_translations',
  'moderations',
  'files',
  'batches',
] as const;

/**
 * What a client asks for, by path. `chat` … `count_tokens` are understood (the last two are Anthropic's); the others pass through as
 * they are, the last two to be kept by an upstream.
 */
export type Operation = (typeof OPERATIONS)[number];
