/** A gateway with a model of every kind of provider, before providers that are mocked. */
import { GatewayProcess } from '../fixtures/gateway.ts';
import { kinds } from './kinds.ts';
import { type MockProviders, startMockProviders } from './mock-providers.ts';
import type { Heard, Turn } from './speakers.ts';

export interface MockedGateway {
  readonly origin: string;
  /** The client's names of the models, one of each kind. */
  readonly models: readonly string[];
  readonly mock: MockProviders;
  stop(): Promise<void>;
}

export async function startMockedGateway(play: (heard: Heard) => Turn): Promise<MockedGateway> {
  const mock = await startMockProviders(play);
  const providers = kinds(mock.origin);
  const secret =
    '{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}, stringData: {api-key: sk-mocked-0123456789}}';
  const routes = [...providers].map(
    ([name, provider]) => `apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: default}
spec:
  modelNames: [${name}]
  models:
  - name: mocked
    provider: ${provider}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: key}}}
  rules:
  - name: default
    targets: [{model: mocked}]
    failover: {maxAttempts: 1}
`,
  );
  const gateway = await GatewayProcess.start([secret, ...routes].join('\n---\n'));
  return {
    origin: `http://127.0.0.1:${gateway.port}`,
    models: [...providers.keys()],
    mock,
    stop: async () => {
      await gateway.stop();
      await mock.close();
    },
  };
}
