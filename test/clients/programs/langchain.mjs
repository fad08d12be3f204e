// @langchain/openai over chat completions and over responses.
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { models, origin, report } from './report.mjs';

const weather = tool(async () => '31 degrees', {
  name: 'get_weather',
  description: 'The weather of a city',
  schema: z.object({ city: z.string() }),
});

for (const useResponsesApi of [false, true]) {
  for (const name of models) {
    await report(`@langchain/openai ${useResponsesApi ? 'responses' : 'chat'}`, name, async () => {
      const model = new ChatOpenAI({
        model: name,
        apiKey: 'sk-client',
        maxRetries: 0,
        useResponsesApi,
        configuration: { baseURL: `${origin}/v1` },
      });
      const whole = await model.invoke('How is the weather?');
      let streamed;
      for await (const piece of await model.stream('How is the weather?'))
        streamed = streamed === undefined ? piece : streamed.concat(piece);
      const withTools = model.bindTools([weather]);
      const said = [new HumanMessage('How is the weather in Rome?')];
      const turn = await withTools.invoke(said);
      const [call] = turn.tool_calls;
      const after = await withTools.invoke([...said, turn, new ToolMessage({ content: '31 degrees', tool_call_id: call.id })]);
      let streamedTurn;
      for await (const piece of await withTools.stream(said))
        streamedTurn = streamedTurn === undefined ? piece : streamedTurn.concat(piece);
      const [streamedCall] = streamedTurn.tool_calls;
      let afterStreamed = '';
      const result = new ToolMessage({ content: '31 degrees', tool_call_id: streamedCall.id });
      for await (const piece of await withTools.stream([...said, streamedTurn, result])) afterStreamed += piece.text;
      return {
        whole: whole.text,
        streamed: streamed.text,
        asked: [call.args, streamedCall.args],
        after: after.text,
        afterStreamed,
        inputTokens: [whole.usage_metadata.input_tokens, streamed.usage_metadata.input_tokens],
      };
    });
  }
}
