// Vercel's AI SDK: its three providers that take a base URL.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { models, origin, report } from './report.mjs';

const openai = createOpenAI({ apiKey: 'sk-client', baseURL: `${origin}/v1` });
const anthropic = createAnthropic({ apiKey: 'sk-client', baseURL: `${origin}/v1` });
const compatible = createOpenAICompatible({ name: 'fairlead', apiKey: 'sk-client', baseURL: `${origin}/v1`, includeUsage: true });
const clients = {
  '@ai-sdk/openai chat': (name) => openai.chat(name),
  '@ai-sdk/openai responses': (name) => openai.responses(name),
  '@ai-sdk/anthropic': (name) => anthropic(name),
  '@ai-sdk/openai-compatible': (name) => compatible(name),
};

for (const [client, modelOf] of Object.entries(clients)) {
  for (const name of models) {
    await report(client, name, async () => {
      const model = modelOf(name);
      const common = { model, maxRetries: 0 };
      const whole = await generateText({ ...common, prompt: 'How is the weather?' });
      const stream = streamText({ ...common, prompt: 'How is the weather?' });
      let streamed = '';
      for await (const piece of stream.textStream) streamed += piece;
      const asked = [];
      const weather = tool({
        description: 'The weather of a city',
        inputSchema: z.object({ city: z.string() }),
        execute: async (input) => {
          asked.push(input);
          return '31 degrees';
        },
      });
      const withTools = {
        ...common,
        prompt: 'How is the weather in Rome?',
        tools: { get_weather: weather },
        stopWhen: isStepCount(3),
      };
      const after = await generateText(withTools);
      const streamedAfter = streamText(withTools);
      let afterStreamed = '';
      for await (const piece of streamedAfter.textStream) afterStreamed += piece;
      return {
        whole: whole.text,
        streamed,
        asked,
        after: after.text,
        afterStreamed,
        inputTokens: [whole.usage.inputTokens, (await stream.usage).inputTokens],
      };
    });
  }
}
