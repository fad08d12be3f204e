/** A gateway pod's token, judged by the API server: which pod it is, and of which gateway. */
import type { KubeClient } from '../kube/client.ts';
import { gatewayOfServiceAccount } from '../render/names.ts';
import { TOKEN_AUDIENCE, type TokenReview } from './delivery/delivery.ts';

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** `gatewayNamespaces`: a ServiceAccount of any other namespace is nobody, whatever it is called. */
export async function reviewPodToken(
  client: Pick<KubeClient, 'reviewToken'>,
  token: string,
  gatewayNamespaces: readonly string[],
): Promise<TokenReview> {
  const reviewed = await client.reviewToken(token, TOKEN_AUDIENCE);
  if (!reviewed.ok) throw new Error(`the API server could not be asked about a token: ${reviewed.error.message}`);
  if (reviewed.value === null) return { ok: false, reason: `the token is not valid for the audience ${TOKEN_AUDIENCE}` };
  const { username, extra } = reviewed.value;
  const [, namespace = '', serviceAccount = ''] = SERVICE_ACCOUNT.exec(username) ?? [];
  const gateway = gatewayOfServiceAccount(serviceAccount);
  if (gateway === null || !gatewayNamespaces.includes(namespace))
    return { ok: false, reason: `${username} is not the ServiceAccount of a gateway in ${gatewayNamespaces.join(', ')}` };
  const [name] = extra[POD_NAME] ?? [];
  const [uid] = extra[POD_UID] ?? [];
  // A token that is bound to no pod could be anybody's who may make tokens for the ServiceAccount.
  if (name === undefined || uid === undefined) return { ok: false, reason: `the token of ${username} is bound to no pod` };
  return { ok: true, pod: { namespace, name, uid, gateway: `${namespace}/${gateway}` } };
}
