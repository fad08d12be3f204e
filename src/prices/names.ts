/** One model has many names: dated snapshots, regional profiles, paths. */

/** `models/x`, `publishers/google/models/x` and a Bedrock profile's ARN are names with a path before them; others keep theirs. */
export function bareName(model: string): string {
  const name = model.toLowerCase();
  if (name.startsWith('arn:') || /^(publishers\/[^/]+\/)?models\//.test(name)) return name.slice(name.lastIndexOf('/') + 1);
  return name;
}

/** Without the region of a Bedrock inference profile: `eu.anthropic.…`. */
export function unregionalName(name: string): string {
  return name.replace(/^(us|eu|apac|au|jp|ca|sa|us-gov|global)\./, '');
}

/** Without the date of a snapshot, which changes neither what a model can nor how much it takes. */
export function undatedName(name: string): string {
  return name.replace(/[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest)$/, '');
}
