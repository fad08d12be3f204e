export const OPERATIONS = [
  'chat',
  'completions',
  'embeddings',
  'responses',
  'images_generations',
  'images_edits',
  'images_variations',
  'audio_speech',
  'audio_transcriptions',
  'audio_translations',
  'moderations',
] as const;

/** What a client asks for, by path. `chat` … `responses` are understood; the others pass through as they are. */
export type Operation = (typeof OPERATIONS)[number];
