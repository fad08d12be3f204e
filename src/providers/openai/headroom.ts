import type { HeadroomHeader } from '../provider.ts';
import { OPENAI_FORM } from '../shared/headroom.ts';

/** https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers; fixture openai/chat-429-rpm-no-retry-header-doc */
export const OPENAI_HEADROOM: readonly HeadroomHeader[] = OPENAI_FORM;
