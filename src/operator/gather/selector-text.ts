import type { LabelSelector } from '../../api/v1alpha1/common.ts';
import { byText } from '../../routetable/order.ts';

/** A label selector as the API server takes it in a query; equal selectors give equal text. */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const parts = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values = [] } of matchExpressions) {
    switch (operator) {
      case 'In':
        parts.push(`${key} in (${[...values].sort(byText).join(',')})`);
        break;
      case 'NotIn':
        parts.push(`${key} notin (${[...values].sort(byText).join(',')})`);
        break;
      case 'Exists':
        parts.push(key);
        break;
      case 'DoesNotExist':
        parts.push(`!${key}`);
        break;
    }
  }
  return parts.sort(byText).join(',');
}
