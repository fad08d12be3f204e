/** What a pod's environment says to the gateway in it. */
import { GATEWAY_ENV, GATEWAY_PATHS, POD_PORTS } from '../lib/pod.ts';
import { err, ok, type Result } from '../lib/result.ts';

export interface PodEnvironment {
  readonly url: URL;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly snapshotDir: string;
  readonly port: number;
  readonly adminPort: number;
}

/** The error names the variable, what it is, and what would be right. */
export function readPodEnvironment(env: Readonly<Record<string, string | undefined>>): Result<PodEnvironment, string> {
  const problems: string[] = [];
  const port = (name: string, otherwise: number): number => {
    const text = env[name] ?? '';
    if (text === '') return otherwise;
    const number = Number(text);
    if (Number.isInteger(number) && number >= 0 && number <= 65_535) return number;
    problems.push(`${name}: ${JSON.stringify(text)} is not a port, write a number like ${otherwise}`);
    return otherwise;
  };
  const file = (name: string, otherwise: string): string => {
    const text = env[name] ?? '';
    return text === '' ? otherwise : text;
  };
  const address = env[GATEWAY_ENV.operatorUrl] ?? '';
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url?.protocol !== 'https:') {
    problems.push(
      `${GATEWAY_ENV.operatorUrl}: ${JSON.stringify(address)} is not an https URL, write the operator's like https://fairlead-stream.fairlead-system.svc:${POD_PORTS.stream}`,
    );
  }
  const found = {
    caFile: file(GATEWAY_ENV.caFile, `${GATEWAY_PATHS.identity}/ca.crt`),
    tokenFile: file(GATEWAY_ENV.tokenFile, `${GATEWAY_PATHS.identity}/token`),
    snapshotDir: file(GATEWAY_ENV.snapshotDir, GATEWAY_PATHS.snapshot),
    port: port(GATEWAY_ENV.port, POD_PORTS.client),
    adminPort: port(GATEWAY_ENV.adminPort, POD_PORTS.admin),
  };
  return url === null || problems.length > 0 ? err(problems.join('\n')) : ok({ url, ...found });
}
