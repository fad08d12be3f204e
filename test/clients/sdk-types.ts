/**
 * Each provider's request as its own SDK has it, in the names of the wire: what the SDKs rename, encode or fill in is undone. A text,
 * because it is compiled beside the SDKs, which are not installed with this tree; nothing of it runs.
 */
export const SDK_TYPES = `
import type Anthropic from '@anthropic-ai/sdk';
import type { ConverseRequest } from '@aws-sdk/client-bedrock-runtime';
import type { Content, GenerationConfig, Tool, ToolConfig } from '@google/genai';
import type { ChatCompletionRequest$Outbound } from '@mistralai/mistralai/models/components';
import type { ChatRequest } from 'ollama';
import type OpenAI from 'openai';
import type { V2ChatRequest } from './node_modules/cohere-ai/serialization/resources/v2/client/requests/V2ChatRequest.js';

/** Members that hold JSON of the client's own. */
type Free = 'json' | 'input' | 'args' | 'response' | 'additionalModelRequestFields' | 'responseJsonSchema' | 'parametersJsonSchema';

/** As JSON has it: bytes in base64, an enum's members as their words. */
type Wire<T> = T extends Uint8Array
  ? string
  : T extends string
    ? \`\${T}\`
    : T extends object
      ? { [K in keyof T]: K extends Free ? unknown : Wire<T[K]> }
      : T;

/** What the SDK writes where it is not given. */
type FilledIn = 'index' | 'prefix';
type Given<T> = T extends readonly (infer E)[]
  ? Given<E>[]
  : T extends object
    ? { [K in keyof T as K extends FilledIn ? never : K]: Given<T[K]> } & { [K in keyof T as K extends FilledIn ? K : never]?: T[K] }
    : T;

export type OpenAIRequest = OpenAI.Chat.ChatCompletionCreateParams;

/** https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
export type CompatibleRequest = OpenAIRequest & { top_k?: number };

/** Models before Claude 4.7 sample as they are told to; the SDK has no place for it any more. */
interface Sampling { temperature?: number; top_p?: number; top_k?: number }

export type AnthropicRequest = Anthropic.MessageCreateParams & Sampling;

/** The SDK's \`config\` holds all but the contents. https://ai.google.dev/api/generate-content#request-body */
export type GeminiRequest = Wire<{
  contents: Content[];
  systemInstruction?: Content;
  tools?: Tool[];
  toolConfig?: ToolConfig;
  generationConfig?: GenerationConfig;
}>;

/** The model is in the path. */
export type BedrockRequest = Wire<Omit<ConverseRequest, 'modelId'>>;

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html */
export type BedrockClaudeRequest = Omit<Anthropic.MessageCreateParams, 'model' | 'stream'> &
  Sampling & { anthropic_version: 'bedrock-2023-05-31'; anthropic_beta?: string[] };

export type MistralRequest = Given<
  Pick<ChatCompletionRequest$Outbound, 'model' | 'messages'> & Partial<ChatCompletionRequest$Outbound>
>;

/** \`stream\` is told by the method. */
export type CohereRequest = V2ChatRequest.Raw & { stream?: boolean };

export type OllamaRequest = ChatRequest;
`;
