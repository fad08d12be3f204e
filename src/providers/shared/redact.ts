import { parseJsonOrThrow } from '../../lib/json-parse.ts';

/**
 * Makes an upstream's message fit to be shown and logged: what identifies the account that pays (keys, organisations,
 * subscriptions, resource names) says nothing to the client and belongs to the operator alone.
 */
const MAX_MESSAGE_CHARS = 512;
/** Bound of what the patterns are run over: longer than any message that is shown, whatever is replaced in it. */
const MAX_SCANNED_CHARS = 4096;
const MIN_SECRET_CHARS = 8;
const MARK = '[redacted]';

/** Each is linear in the length of its input: one bounded run of characters after a fixed beginning. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // Keys: OpenAI sk-, Groq gsk_, xAI xai-, Perplexity pplx-, Hugging Face hf_, Cerebras csk-, Fireworks fw_, NVIDIA nvapi-, Google AIza.
  [/\b(?:sk|pk|rk|gsk|xai|pplx|hf|csk|fw|nvapi|tgp)[-_][\w-]{6,200}/g, MARK],
  [/\bAIza[\w-]{20,60}/g, MARK],
  [/\beyJ[\w-]{8,2000}\.[\w-]{1,2000}(?:\.[\w-]{0,2000})?/g, MARK],
  [/\bBearer\s+[\w.~+/=-]{6,2000}/gi, `Bearer ${MARK}`],
  // What a provider has already masked still shows the ends of a key: `test-con****-key`.
  [/[^\s"'`,;:]{0,80}\*{3,80}(?:[^\s"'`,;:.]|\.(?=\w)){0,80}/g, MARK],
  // Organisation, project, user, team and account ids.
  [/\b(?:org|proj)[-_][A-Za-z0-9]{4,80}/g, MARK],
  [/\b(?:user|acct|team|account|workspace)[-_](?=[A-Za-z]{0,80}\d)[A-Za-z0-9]{6,80}/g, MARK],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, MARK],
  // Azure: resource ids and the host names that carry a resource's name.
  [/\/subscriptions\/[^\s"'`,]{1,400}/gi, `/subscriptions/${MARK}`],
  [
    /\b[a-z0-9][a-z0-9-]{0,62}(\.(?:openai\.azure|cognitiveservices\.azure|services\.ai\.azure|azure-api|inference\.ml\.azure|models\.ai\.azure)\.[a-z.]{2,12})/gi,
    `${MARK}$1`,
  ],
  [
    /\b((?:organization|organisation|project|account|team|workspace|tenant|resource|subscription|principal)s?(?: id| name| key)?:? )[`'"][^`'"]{1,200}[`'"]/gi,
    `$1${MARK}`,
  ],
  // xAI: `Team: …, API key ID: …`.
  [/\b((?:team|api key id|organization id|account id): ?)[\w.-]{3,80}/gi, `$1${MARK}`],
  [/\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}/g, MARK],
];

/** `secret`: the credential that was sent, which some upstreams quote back; '' where none was. */
export function redactMessage(message: string, secret: string): string {
  const text = replaced(message.length > MAX_SCANNED_CHARS ? message.slice(0, MAX_SCANNED_CHARS) : message, secret);
  return text.length > MAX_MESSAGE_CHARS ? `${text.slice(0, MAX_MESSAGE_CHARS - 1)}…` : text;
}

function replaced(message: string, secret: string): string {
  let text = secret.length < MIN_SECRET_CHARS ? message : message.replaceAll(secret, MARK);
  for (const [pattern, replacement] of PATTERNS) text = text.replace(pattern, replacement);
  return text;
}

/** Longer errors are no messages to a person. */
const MAX_BODY_BYTES = 65_536;

/**
 * An upstream's own error as it may be passed on: its bytes, but for an `error` that tells of the account. Its text is redacted in
 * `error`, `message` and `detail` alone, wherever these are below the top; `secret` is nowhere in it, however long it is.
 */
export function redactErrorBody(answered: Buffer, secret: string): Buffer {
  const body = withoutSecret(answered, secret);
  if (body.length > MAX_BODY_BYTES) return body;
  let json: unknown;
  try {
    json = parseJsonOrThrow(body.toString());
  } catch {
    return Buffer.from(replaced(body.toString(), secret));
  }
  const told = redactMembers(json, secret, 0);
  return told === json ? body : Buffer.from(JSON.stringify(told));
}

/** The same bytes where it is not in them. */
function withoutSecret(body: Buffer, secret: string): Buffer {
  if (secret.length < MIN_SECRET_CHARS || !body.includes(secret)) return body;
  const bytes = Buffer.from(secret).toString('latin1');
  return Buffer.from(body.toString('latin1').replaceAll(bytes, MARK), 'latin1');
}

const TEXTS: ReadonlySet<string> = new Set(['error', 'message', 'detail', 'details']);
const MAX_DEPTH = 6;

/** The value itself where nothing in it is replaced. */
function redactMembers(value: unknown, secret: string, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => redactMembers(item, secret, depth + 1));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  const members = Object.entries(value).map(([name, member]: [string, unknown]) => {
    const text = typeof member === 'string' && TEXTS.has(name);
    return [name, text ? replaced(member, secret) : redactMembers(member, secret, depth + 1), member] as const;
  });
  return members.some(([, after, before]) => after !== before) ? Object.fromEntries(members) : value;
}
