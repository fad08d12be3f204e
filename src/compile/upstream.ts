/** Where a provider is called: a model's `provider` → base URL and model name. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { Provider } from '../api/v1alpha1/model.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { ProviderKind } from '../routetable/types.ts';
import { endpointsId } from './endpoints.ts';
import { isAllowedByName, refusedHost } from './address.ts';
import type { Read } from './memo.ts';
import { controlFault } from './one-line.ts';

export interface Upstream {
  readonly provider: ProviderKind;
  readonly baseUrl: string;
  /** Of a Service, where its addresses are known. */
  readonly endpoints?: string;
  /** Inside the cluster, or allowed by name: the private-address check does not apply. */
  readonly trusted: boolean;
  readonly model: string | null;
  readonly apiVersion: string | null;
  /** The header that carries the key where `auth.apiKey.header` does not say. */
  readonly defaultHeader: string;
}

export interface UpstreamContext {
  readonly read: Read;
  readonly namespace: string;
  /** null: no gateway is known yet, so what it allows is not asked. */
  readonly gateway: LLMGateway | null;
  /** HTTPS to a serviceRef. */
  readonly tls: boolean;
}

/** Where the services are, as the API's descriptions say. */
const OPENAI = 'https://api.openai.com/v1';
const ANTHROPIC = 'https://api.anthropic.com/v1';
const MISTRAL = 'https://api.mistral.ai/v1';
const COHERE = 'https://api.cohere.com/v2';
const GEMINI = 'https://generativelanguage.googleapis.com/v1beta';

export function compileUpstream(spec: Provider, path: string, context: UpstreamContext): Result<Upstream, Issue> {
  const fault = settingsFault(spec, path);
  if (fault !== null) return err(fault);
  switch (spec.type) {
    case 'OpenAI': {
      const target = located(spec.openAI?.baseURL ?? OPENAI, `${path}.openAI.baseURL`, context);
      return joined(target, {
        provider: 'OpenAI',
        model: spec.openAI?.model ?? null,
        apiVersion: null,
        defaultHeader: 'authorization',
      });
    }
    case 'AzureOpenAI': {
      const { endpoint = '', deployment, apiVersion } = spec.azureOpenAI ?? {};
      const at = `${path}.azureOpenAI.endpoint`;
      const target = resourceOf(located(endpoint, at, context), at);
      return joined(target, {
        provider: 'AzureOpenAI',
        model: deployment ?? null,
        apiVersion: apiVersion ?? null,
        defaultHeader: 'api-key',
      });
    }
    case 'Anthropic': {
      const { model, baseURL } = spec.anthropic ?? {};
      const target = located(baseURL ?? ANTHROPIC, `${path}.anthropic.baseURL`, context);
      return joined(target, { provider: 'Anthropic', model: model ?? null, apiVersion: null, defaultHeader: 'x-api-key' });
    }
    case 'Gemini': {
      const { model, baseURL } = spec.gemini ?? {};
      const target = located(baseURL ?? GEMINI, `${path}.gemini.baseURL`, context);
      return joined(target, { provider: 'Gemini', model: model ?? null, apiVersion: null, defaultHeader: 'x-goog-api-key' });
    }
    case 'VertexAI': {
      const { project = '', location = '', model, baseURL } = spec.vertexAI ?? {};
      const target = located(baseURL ?? `https://${vertexHost(location)}/v1`, `${path}.vertexAI.baseURL`, context);
      // Everything of one project and location is below one path.
      const below = target.ok
        ? ok({ ...target.value, baseUrl: `${target.value.baseUrl}/projects/${project}/locations/${location}` })
        : target;
      return joined(below, { provider: 'VertexAI', model: model ?? null, apiVersion: null, defaultHeader: 'x-goog-api-key' });
    }
    case 'Bedrock': {
      const { region = '', model, baseURL } = spec.bedrock ?? {};
      const target = located(baseURL ?? `https://bedrock-runtime.${region}.amazonaws.com`, `${path}.bedrock.baseURL`, context);
      return joined(target, { provider: 'Bedrock', model: model ?? null, apiVersion: null, defaultHeader: 'authorization' });
    }
    case 'Mistral': {
      const { model, baseURL } = spec.mistral ?? {};
      const target = located(baseURL ?? MISTRAL, `${path}.mistral.baseURL`, context);
      return joined(target, { provider: 'Mistral', model: model ?? null, apiVersion: null, defaultHeader: 'authorization' });
    }
    case 'Cohere': {
      const { model, baseURL } = spec.cohere ?? {};
      const target = located(baseURL ?? COHERE, `${path}.cohere.baseURL`, context);
      return joined(target, { provider: 'Cohere', model: model ?? null, apiVersion: null, defaultHeader: 'authorization' });
    }
    case 'OpenAICompatible': {
      const { baseURL, serviceRef, model } = spec.openAICompatible ?? {};
      const at = `${path}.openAICompatible`;
      const target =
        serviceRef === undefined
          ? located(baseURL ?? '', `${at}.baseURL`, context)
          : service(serviceRef, `${at}.serviceRef`, context);
      return joined(target, {
        provider: 'OpenAICompatible',
        model: model ?? null,
        apiVersion: null,
        defaultHeader: 'authorization',
      });
    }
  }
}

/** Two locations are several regions, and have hosts of another form: https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations#multi-region_endpoints */
function vertexHost(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com';
  return location === 'us' || location === 'eu'
    ? `aiplatform.${location}.rep.googleapis.com`
    : `${location}-aiplatform.googleapis.com`;
}

/** Azure shows its endpoints with the API's path, which is added to each request; behind API Management a path may be one's own. */
function resourceOf(location: Result<Location, Issue>, path: string): Result<Location, Issue> {
  if (!location.ok) return location;
  const { baseUrl } = location.value;
  if (/\/openai\/deployments(?:\/|$)/.test(baseUrl))
    return err(
      issue(
        path,
        'InvalidSpec',
        `${JSON.stringify(baseUrl)} is where a deployment is called: write ${JSON.stringify(baseUrl.replace(/\/openai\/deployments.*$/, ''))}, and the deployment's name into \`deployment\``,
      ),
    );
  return ok({ ...location.value, baseUrl: baseUrl.replace(/\/openai\/v1$|(?<=^https?:\/\/[^/]+\.azure\.com)\/openai$/, '') });
}

/** What no base URL and no id can carry: one such model must not have pods refuse its whole route. */
function settingsFault(spec: Provider, path: string): Issue | null {
  const { type: _, ...members } = spec;
  for (const [member, settings] of Object.entries(members)) {
    for (const [field, value] of Object.entries<unknown>(settings ?? {})) {
      const fault = typeof value === 'string' ? controlFault(value, `${path}.${member}.${field}`) : null;
      if (fault !== null) return fault;
    }
  }
  const project = members.vertexAI?.project;
  return project === undefined || /^[A-Za-z0-9][A-Za-z0-9.:_-]*$/.test(project)
    ? null
    : issue(`${path}.vertexAI.project`, 'InvalidSpec', `${JSON.stringify(project)} is no id of a Google Cloud project`);
}

type Location = Pick<Upstream, 'baseUrl' | 'endpoints' | 'trusted'>;

function joined(location: Result<Location, Issue>, rest: Omit<Upstream, keyof Location>): Result<Upstream, Issue> {
  return location.ok ? ok({ ...rest, ...location.value }) : location;
}

/** A Service: its DNS name resolves in any cluster, whatever its domain, and where its addresses are known it is only a name. */
function service(
  ref: { readonly name: string; readonly port: number; readonly path: string },
  path: string,
  { read, namespace, tls }: UpstreamContext,
): Result<Location, Issue> {
  if (read((world) => world.options.resolveService) === 'Laptop') {
    return err(
      issue(
        path,
        'BackendNotFound',
        `Service ${namespace}/${ref.name} is in a cluster, and there is none here: give baseURL instead`,
      ),
    );
  }
  const fault = serviceFault(ref, namespace, read);
  if (fault !== null) return err(issue(path, fault.reason, fault.message));
  const url = normalUrl(`${tls ? 'https' : 'http'}://${ref.name}.${namespace}.svc:${ref.port}${ref.path}`);
  if (!url.ok) return err(issue(path, 'InvalidSpec', url.error));
  const known = read((world) => world.endpoints !== null);
  const endpoints = known ? { endpoints: endpointsId(`${namespace}/${ref.name}`, ref.port) } : {};
  return ok({ baseUrl: url.value, ...endpoints, trusted: true });
}

/** Why a Service cannot be called. ExternalName leads wherever its owner says, past every rule on addresses. */
function serviceFault(
  { name, port }: { readonly name: string; readonly port: number },
  namespace: string,
  read: Read,
): { readonly reason: string; readonly message: string } | null {
  const id = `${namespace}/${name}`;
  if (read((world) => world.services === null)) return null;
  const found = read((world) => world.services?.get(id));
  if (found === undefined) return { reason: 'BackendNotFound', message: `Service ${id} is not found` };
  if (found.type === 'ExternalName')
    return {
      reason: 'RefNotPermitted',
      message: `Service ${id} is of type ExternalName, which leads out of the cluster: give that address as baseURL instead`,
    };
  if (found.ports.includes(port)) return null;
  const ports = found.ports.length === 0 ? 'none' : found.ports.join(', ');
  return { reason: 'BackendNotFound', message: `Service ${id} has no port ${port}; its ports are: ${ports}` };
}

function located(text: string, path: string, { read, gateway }: UpstreamContext): Result<Location, Issue> {
  const url = normalUrl(text);
  if (!url.ok) return err(issue(path, 'InvalidSpec', url.error));
  if (gateway === null) return ok({ baseUrl: url.value, trusted: false });
  const host = new URL(url.value).hostname;
  const { allow } = gateway.spec.upstreams;
  const refused = refusedHost(host, { allow, loopbackAllowed: read((world) => world.options.loopbackAllowed) });
  return refused === null
    ? ok({ baseUrl: url.value, trusted: isAllowedByName(host, allow) })
    : err(issue(path, 'RefNotPermitted', refused));
}

/** One spelling for one place: host in lower case, no default port, no trailing slash. */
function normalUrl(text: string): Result<string, string> {
  if (!URL.canParse(text)) return err(`${JSON.stringify(text)} is not a URL: write it like https://llm.example.com/v1`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return err(`${JSON.stringify(text)} must begin with https:// or http://`);
  // A user or password would be a credential in a field that logs and status show, so it is not repeated here.
  if (url.username !== '' || url.password !== '')
    return err(`the URL of ${url.host} must not hold a user or password: credentials go into auth`);
  if (url.search !== '' || url.hash !== '') return err(`the URL of ${url.host} must have no query and no fragment`);
  return ok(url.href.replace(/\/+$/, ''));
}
