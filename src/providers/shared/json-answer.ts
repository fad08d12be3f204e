/** An answer in JSON of a model that has no form for that: it calls a tool, and the call's input is read as the answer's text. */
import type { Conversation, OutputFormat, ToolChoice } from '../../dialects/neutral/conversation.ts';

export const JSON_ANSWER_TOOL = 'fairlead_json_answer';

/**
 * The same conversation with the tool that stands for its answer. Where the client has the model call one of its own tools, there
 * is no answer to give, and it stays as it is. `forces`: whether the model can be made to call a tool.
 */
export function answeredByTool(conversation: Conversation, forces: boolean): Conversation {
  const { format, tools, toolChoice } = conversation;
  if (toolChoice?.kind === 'required' || toolChoice?.kind === 'tool') return conversation;
  const answer = {
    name: JSON_ANSWER_TOOL,
    description: 'Gives the answer to the user, as JSON. Every answer is given by this tool, and by no text beside it.',
    parameters: schemaOf(format),
    strict: null,
    cached: null,
  };
  return { ...conversation, tools: [...tools, answer], toolChoice: choiceOf(conversation, forces) };
}

function schemaOf(format: OutputFormat): Conversation['tools'][number]['parameters'] {
  return format.kind === 'schema' ? format.schema : { type: 'object', additionalProperties: true };
}

function choiceOf({ tools, toolChoice, reasoning }: Conversation, forces: boolean): ToolChoice {
  // Models that think do not take the choice from them: https://docs.claude.com/en/docs/build-with-claude/extended-thinking#extended-thinking-with-tool-use
  if (!forces || (reasoning !== null && reasoning.effort !== 'none')) return { kind: 'auto' };
  const only = tools.length === 0 || toolChoice?.kind === 'none';
  return only ? { kind: 'tool', name: JSON_ANSWER_TOOL } : { kind: 'required' };
}
