/**
 * The net under everything that is logged: credentials never belong in a message, but an upstream's error text or a library's
 * exception may quote one. Works on plain text and on lines of JSON: what it takes out holds no quote and no backslash.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 [redacted]'],
  // The providers' own key forms, and ours.
  [/\b(sk|rk|pk|fl|gsk|xai|hf|r8|nvapi|pplx)([-_])[A-Za-z0-9_-]{16,}/g, '$1$2[redacted]'],
  [/\bAIza[A-Za-z0-9_-]{30,}/g, 'AIza[redacted]'],
  [/\b(AKIA|ASIA)[A-Z0-9]{16}\b/g, '$1[redacted]'],
  [/\b[A-Za-z0-9]{40,}JQQJ99[A-Za-z0-9]{16,}\b/g, '[redacted]'],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, '[redacted]'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?-----END [A-Z ]*PRIVATE KEY-----/g, '[redacted]'],
  // user:password@ of a URL
  [/(:\/\/)[^\s"\\/@]+@/g, '$1[redacted]@'],
  // Azure's classic keys look like any 32 hex digits: by the name before them.
  [
    /\b((?:x-)?api[-_ ]?key|password|client[-_]secret|x-goog-api-key)(\\?["']?\s*(?:[:=]|is)\s*\\?["']?)[A-Za-z0-9._~+/=-]{8,}/gi,
    '$1$2[redacted]',
  ],
];

export function redactSecrets(text: string): string {
  let safe = text;
  for (const [pattern, replacement] of SECRETS) safe = safe.replace(pattern, replacement);
  return safe;
}
