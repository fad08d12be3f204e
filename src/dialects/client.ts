/** The dialects that clients speak and that can be translated: how each is read and written. */
import type { Operation } from '../lib/operation.ts';
import { anthropicErrorBody } from './anthropic/answer.ts';
import { readAnthropic } from './anthropic/read-messages.ts';
import { messagesWriter } from './anthropic/write-messages.ts';
import type { Conversation } from './neutral/conversation.ts';
import type { ReplyWriter } from './neutral/reply.ts';
import type { ClientError } from './client-error.ts';
import { errorBody } from './openai/answer.ts';
import { completionsWriter, readCompletions } from './openai/completions.ts';
import { readChat } from './openai/read-chat.ts';
import { readResponses } from './openai/read-responses.ts';
import { chatWriter } from './openai/write-chat.ts';
import { responsesWriter } from './openai/write-responses.ts';
import type { ParsedBody } from './parsed-body.ts';

export interface ClientDialect {
  /** Total: what is wrong with the request is in the result. */
  read(body: ParsedBody): Conversation;
  readonly writer: ReplyWriter;
  errorBody(error: ClientError): Buffer;
}

const DIALECTS: Readonly<Partial<Record<Operation, ClientDialect>>> = {
  chat: { read: readChat, writer: chatWriter, errorBody },
  completions: { read: readCompletions, writer: completionsWriter, errorBody },
  responses: { read: readResponses, writer: responsesWriter, errorBody },
  messages: { read: readAnthropic, writer: messagesWriter, errorBody: anthropicErrorBody },
};

/** null: requests of this operation are only ever passed through. */
export function clientDialect(operation: Operation): ClientDialect | null {
  return DIALECTS[operation] ?? null;
}

/** Of requests that are under way: several targets may ask. */
const read = new WeakMap<ParsedBody, Conversation>();

export function conversationOf(dialect: ClientDialect, body: ParsedBody): Conversation {
  let conversation = read.get(body);
  if (conversation === undefined) read.set(body, (conversation = dialect.read(body)));
  return conversation;
}
