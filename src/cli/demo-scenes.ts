/** The requests of `fairlead demo`, each told in a line from what its answer's headers say. */
import { chat, type ChatAnswer } from './client.ts';
import { DEMO_LIMIT } from './demo-routes.ts';
import type { Io } from './io.ts';
import { ANSWER_FILTER_WORD, PROMPT_FILTER_WORD } from './mock-models.ts';
import { column, milliseconds, type Style } from './style.ts';

interface Stage {
  readonly io: Io;
  readonly style: Style;
  readonly url: string;
}

const WEIGHTED_REQUESTS = 10;
const NAME_WIDTH = 9;
const WHAT_WIDTH = 44;

export async function playScenes(io: Io, style: Style, url: string): Promise<void> {
  const stage = { io, style, url };
  await weightedChoice(stage);
  await failover(stage);
  await contentFilter(stage);
  await limit(stage);
  await streams(stage);
}

async function weightedChoice(stage: Stage): Promise<void> {
  heading(stage, 'A weighted choice', 'chat: fast 80, strong 20');
  const answered = new Map<string, number>();
  let reason = '';
  for (let request = 0; request < WEIGHTED_REQUESTS; request++) {
    const answer = await ask(stage, 'chat', 'Which model are you?');
    const name = answer.headers.get('x-fairlead-model') ?? 'none';
    answered.set(name, (answered.get(name) ?? 0) + 1);
    reason = reasonOf(answer);
  }
  const counts = [...answered].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
  row(stage, `${WEIGHTED_REQUESTS} ×`, `answered by ${counts.join(', ')}`, reason);
}

async function failover(stage: Stage): Promise<void> {
  heading(stage, 'Failover', 'steady: flaky, then strong');
  for (const said of [
    'flaky answers 500',
    'flaky cuts the connection',
    'flaky answers 429, retry-after 5 s',
    'flaky is cooling down, and left in peace',
  ]) {
    told(stage, said, await ask(stage, 'steady', 'Are you there?'));
  }
}

async function contentFilter(stage: Stage): Promise<void> {
  heading(stage, 'A content filter that refuses', 'guarded: filtered; what it refuses may go to strong');
  told(stage, 'its filter refuses the prompt', await ask(stage, 'guarded', `Who invented ${PROMPT_FILTER_WORD}?`));
  told(stage, 'its filter stops the answer', await ask(stage, 'guarded', `Outline a ${ANSWER_FILTER_WORD} film.`));
}

async function limit(stage: Stage): Promise<void> {
  heading(stage, 'A limit', `limited: ${DEMO_LIMIT} requests a minute for each key`);
  for (let request = 0; request < DEMO_LIMIT; request++) {
    const answer = await ask(stage, 'limited', 'One more?');
    if (request === DEMO_LIMIT - 1)
      told(stage, `${answer.headers.get('x-ratelimit-remaining-requests') ?? '?'} of ${DEMO_LIMIT} requests left`, answer);
  }
  const refused = await ask(stage, 'limited', 'One more?');
  const wait = refused.headers.get('retry-after') ?? '?';
  told(stage, `429: limit ${refused.headers.get('x-fairlead-limit') ?? '?'}, retry-after ${wait} s`, refused);
}

async function streams(stage: Stage): Promise<void> {
  heading(stage, 'Streams', 'snappy: slow, but no longer than 250 ms, then fast');
  const rescued = await ask(stage, 'snappy', 'Tell me something.', true);
  told(stage, `slow says nothing; first token at ${milliseconds(rescued.firstTokenMs ?? 0)}`, rescued);
  const answer = await ask(stage, 'chat', 'Tell me something.', true);
  const tokens = answer.usage?.outputTokens ?? 0;
  told(
    stage,
    `first token at ${milliseconds(answer.firstTokenMs ?? 0)}, ${tokens} tokens in ${milliseconds(answer.durationMs)}`,
    answer,
  );
  const words = answer.text.split(' ').slice(0, 12).join(' ');
  stage.io.stdout.write(`  ${column('', NAME_WIDTH)}${stage.style.dim(`“${words} …”`)}\n`);
}

async function ask({ io, url }: Stage, model: string, prompt: string, stream = false): Promise<ChatAnswer> {
  return chat({ url, key: null, model, prompt, stream }, () => io.clock.nowMs());
}

function heading({ io, style }: Stage, title: string, what: string): void {
  io.stdout.write(`\n${style.bold(title)}  ${style.dim(what)}\n`);
}

/** Who answered, what happened, and the gateway's own reason. */
function told(stage: Stage, what: string, answer: ChatAnswer): void {
  row(stage, answer.headers.get('x-fairlead-model') ?? '–', what, reasonOf(answer));
}

function row({ io, style }: Stage, name: string, what: string, reason: string): void {
  const paint = reason.startsWith('failover:') || reason === 'spilled' ? style.yellow : style.green;
  const padded = column(name, NAME_WIDTH);
  io.stdout.write(
    `  ${name === '–' ? style.red(padded) : style.green(padded)}${column(what, WHAT_WIDTH)}${name === '–' ? style.red(reason) : paint(reason)}\n`,
  );
}

/** `x-fairlead-reason`, or the code of the gateway's own answer. */
function reasonOf(answer: ChatAnswer): string {
  return answer.headers.get('x-fairlead-reason') ?? answer.error?.code ?? String(answer.status);
}
