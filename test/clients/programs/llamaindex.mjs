// llamaindex with its OpenAI class.
import { OpenAI } from '@llamaindex/openai';
import { tool } from 'llamaindex';
import { z } from 'zod';
import { models, origin, report } from './report.mjs';

for (const name of models) {
  await report('llamaindex', name, async () => {
    const llm = new OpenAI({ model: name, apiKey: 'sk-client', baseURL: `${origin}/v1`, maxRetries: 0 });
    const messages = [{ role: 'user', content: 'How is the weather?' }];
    const whole = await llm.chat({ messages });
    let streamed = '';
    for await (const piece of await llm.chat({ messages, stream: true })) streamed += piece.delta;
    const asked = [];
    const weather = tool({
      name: 'get_weather',
      description: 'The weather of a city',
      parameters: z.object({ city: z.string() }),
      execute: async (input) => '31 degrees',
    });
    const said = [{ role: 'user', content: 'How is the weather in Rome?' }];
    const turn = await llm.chat({ messages: said, tools: [weather] });
    const [call] = turn.message.options.toolCall;
    asked.push(parsed(call.input));
    const result = { role: 'user', content: '', options: { toolResult: { id: call.id, result: '31 degrees', isError: false } } };
    const after = await llm.chat({ messages: [...said, turn.message, result], tools: [weather] });
    let last;
    for await (const piece of await llm.chat({ messages: said, tools: [weather], stream: true })) {
      if (piece.options?.toolCall !== undefined) last = piece.options.toolCall[0];
    }
    asked.push(parsed(last.input));
    let afterStreamed = '';
    const streamedTurn = { role: 'assistant', content: '', options: { toolCall: [last] } };
    const streamedResult = {
      role: 'user',
      content: '',
      options: { toolResult: { id: last.id, result: '31 degrees', isError: false } },
    };
    for await (const piece of await llm.chat({
      messages: [...said, streamedTurn, streamedResult],
      tools: [weather],
      stream: true,
    }))
      afterStreamed += piece.delta;
    return {
      whole: whole.message.content,
      streamed,
      asked,
      after: after.message.content,
      afterStreamed,
      inputTokens: [whole.raw.usage.prompt_tokens],
    };
  });
}

function parsed(input) {
  return typeof input === 'string' ? JSON.parse(input) : input;
}
