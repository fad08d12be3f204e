import { describe, expect, test } from '@jest/globals';
import { requestAwsKeys } from './aws.ts';
import type { TokenEnvironment, TokenRequest } from './service.ts';
import { TokenSources } from './token-source.ts';

const NOW_MS = Date.UTC(2026, 10, 24);
const TOKEN_FILE = '/var/run/secrets/eks.amazonaws.com/serviceaccount/token';
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const IRSA = {
  AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/llm',
  AWS_WEB_IDENTITY_TOKEN_FILE: TOKEN_FILE,
  AWS_REGION: 'eu-central-1',
};
const AGENT = {
  AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials',
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: TOKEN_FILE,
};

/** As documented: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
const assumed = (
  expiration: string,
): string => `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:fairlead-system:fairlead-default</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::111122223333:assumed-role/llm/fairlead</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:fairlead</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==</SessionToken>
      <SecretAccessKey>${SECRET}</SecretAccessKey>
      <Expiration>${expiration}</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`;

const granted = (expiration: string): string =>
  JSON.stringify({
    AccessKeyId: 'ASIAEXAMPLE1',
    SecretAccessKey: SECRET,
    Token: 'session+token==',
    AccountId: '1',
    Expiration: expiration,
  });

interface Service {
  readonly environment: TokenEnvironment;
  readonly asked: { readonly url: string; readonly request: TokenRequest }[];
  now: number;
}

function service(
  variables: Readonly<Record<string, string>>,
  answer: (nth: number) => { readonly status: number; readonly body: string },
): Service {
  const asked: Service['asked'] = [];
  let files = 0;
  const made: Service = {
    asked,
    now: NOW_MS,
    environment: {
      wallMs: () => made.now,
      random: () => 0,
      variables,
      fetch: async (url, request) => {
        const { status, body } = answer(asked.push({ url, request }));
        return new Response(body, { status });
      },
      readFile: async (path) => {
        if (path !== TOKEN_FILE) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
        return `pod-token-${++files}\n`;
      },
    },
  };
  return made;
}

const ok =
  (body: string): (() => { status: number; body: string }) =>
  () => ({ status: 200, body });
const refused = (status: number, body: string) => () => ({ status, body });

describe('keys of a role of the ServiceAccount', () => {
  test('are asked of the region’s STS with the pod’s token', async () => {
    const { environment, asked } = service(IRSA, ok(assumed('2026-11-24T01:00:00Z')));
    const keys = await requestAwsKeys('us-east-1', environment);
    expect(asked).toEqual([
      {
        url: 'https://sts.eu-central-1.amazonaws.com/',
        request: {
          method: 'POST',
          headers: { accept: 'text/xml' },
          form: {
            Action: 'AssumeRoleWithWebIdentity',
            Version: '2011-06-15',
            RoleArn: 'arn:aws:iam::111122223333:role/llm',
            RoleSessionName: 'fairlead',
            WebIdentityToken: 'pod-token-1',
          },
        },
      },
    ]);
    expect(keys.accessKeyId).toBe('ASgeIAIOSFODNN7EXAMPLE');
    expect(keys.secretAccessKey.reveal()).toBe(SECRET);
    expect(keys.sessionToken.reveal()).toBe('AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==');
    expect(keys.expiresAtMs).toBe(NOW_MS + 3_600_000);
    expect(JSON.stringify(keys)).not.toContain(SECRET);
  });

  test.each([
    [{}, 'us-east-1', 'https://sts.us-east-1.amazonaws.com/'],
    [{ AWS_DEFAULT_REGION: 'cn-north-1' }, 'us-east-1', 'https://sts.cn-north-1.amazonaws.com.cn/'],
  ])('are asked of where the cluster is, else of the model’s region', async (more, region, url) => {
    const { AWS_REGION: _, ...role } = IRSA;
    const { environment, asked } = service({ ...role, ...more }, ok(assumed('2026-11-24T01:00:00Z')));
    await requestAwsKeys(region, environment);
    expect(asked[0]?.url).toBe(url);
  });

  test('are not asked of a region that is a host', async () => {
    const { environment, asked } = service({ ...IRSA, AWS_REGION: 'evil.example/' }, ok(''));
    await expect(requestAwsKeys('us-east-1', environment)).rejects.toThrow('"evil.example/" is no region of AWS');
    expect(asked).toEqual([]);
  });

  test.each([
    [
      'with STS’ word for why there are none',
      refused(
        403,
        `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized ${SECRET}</Message></Error></ErrorResponse>`,
      ),
      'sts.eu-central-1.amazonaws.com gave no token: HTTP 403 AccessDenied',
    ],
    ['of an answer that is none', ok('<html>'), 'sts.eu-central-1.amazonaws.com gave no token: HTTP 200'],
    ['that are over already', ok(assumed('2026-11-23T23:00:00Z')), 'sts.eu-central-1.amazonaws.com gave no token: HTTP 200'],
  ])('are refused by name: %s', async (_, answer, message) => {
    await expect(requestAwsKeys('us-east-1', service(IRSA, answer).environment)).rejects.toThrow(new Error(message));
  });

  test('go before those of the agent, as in AWS’ own libraries', async () => {
    const { environment, asked } = service({ ...AGENT, ...IRSA }, ok(assumed('2026-11-24T01:00:00Z')));
    await requestAwsKeys('us-east-1', environment);
    expect(asked[0]?.url).toContain('sts.');
  });
});

describe('keys of EKS Pod Identity', () => {
  test('are asked of the agent with the pod’s token', async () => {
    const { environment, asked } = service(AGENT, ok(granted('2026-11-24T06:00:00Z')));
    const keys = await requestAwsKeys('us-east-1', environment);
    expect(asked).toEqual([
      {
        url: 'http://169.254.170.23/v1/credentials',
        request: { method: 'GET', headers: { authorization: 'pod-token-1' }, form: null },
      },
    ]);
    expect(keys.sessionToken.reveal()).toBe('session+token==');
    expect(keys.expiresAtMs).toBe(NOW_MS + 6 * 3_600_000);
  });

  test.each([
    'https://credentials.example.com/role',
    'http://localhost:8080/x',
    'http://127.3.2.1/x',
    'http://[::1]:81/x',
    'http://169.254.170.2/v2/credentials',
    'http://[fd00:ec2::23]/v1/credentials',
  ])('may be asked of %s', async (uri) => {
    const { environment, asked } = service({ AWS_CONTAINER_CREDENTIALS_FULL_URI: uri }, ok(granted('2026-11-24T06:00:00Z')));
    await requestAwsKeys('us-east-1', environment);
    expect(asked).toEqual([{ url: uri, request: { method: 'GET', headers: {}, form: null } }]);
  });

  test.each([
    ['http://169.254.169.254/latest/meta-data', 'leads to 169.254.169.254'],
    ['http://10.0.0.7/x', 'leads to 10.0.0.7'],
    ['http://127.0.0.1.evil.example/x', 'leads to 127.0.0.1.evil.example'],
    ['ftp://localhost/x', 'leads to localhost'],
    ['/v1/credentials', 'is no URL'],
  ])('are not asked of %s', async (uri, message) => {
    const { environment, asked } = service({ ...AGENT, AWS_CONTAINER_CREDENTIALS_FULL_URI: uri }, ok(''));
    await expect(requestAwsKeys('us-east-1', environment)).rejects.toThrow(`AWS_CONTAINER_CREDENTIALS_FULL_URI ${message}`);
    expect(asked).toEqual([]);
  });

  test.each([
    [{ AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/gone' }, "the pods' own token in /gone cannot be read: ENOENT"],
    [
      { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '', AWS_CONTAINER_AUTHORIZATION_TOKEN: 'a\r\nhost: b' },
      'the token of AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line',
    ],
  ])('need a token that a header can carry (%j)', async (more, message) => {
    const { environment, asked } = service({ ...AGENT, ...more }, ok(''));
    await expect(requestAwsKeys('us-east-1', environment)).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });

  test('are refused with the agent’s word for it', async () => {
    const { environment } = service(AGENT, refused(400, '{"code":"InvalidTokenException","message":"…"}'));
    await expect(requestAwsKeys('us-east-1', environment)).rejects.toThrow(
      '169.254.170.23 gave no token: HTTP 400 InvalidTokenException',
    );
  });
});

describe('pods without an identity', () => {
  test('are told what AWS would have set', async () => {
    await expect(requestAwsKeys('us-east-1', service({}, ok('')).environment)).rejects.toThrow(
      'neither AWS_WEB_IDENTITY_TOKEN_FILE nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set',
    );
  });
});

test('keys are asked for once for all who wait, and renewed with the token that is there then, before they end', async () => {
  const made = service(IRSA, (nth) => ({ status: 200, body: assumed(`2026-11-24T0${nth}:00:00Z`) }));
  const source = new TokenSources(made.environment).awsKeys({ kind: 'AwsPods', region: 'us-east-1' });
  const [first, second] = await Promise.all([source.get(), source.get()]);
  expect(second).toBe(first);
  expect(made.asked).toHaveLength(1);
  made.now += 3_600_000 * 0.81;
  expect(source.get()).toBe(first);
  while ((await source.get()) === first) await new Promise((next) => setImmediate(next));
  expect(made.asked.map(({ request }) => request.form?.['WebIdentityToken'])).toEqual(['pod-token-1', 'pod-token-2']);
});
