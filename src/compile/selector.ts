import type { LabelSelector } from '../api/v1alpha1/common.ts';

/** Kubernetes' label selector: all requirements must hold; an empty one selects everything. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  for (const [key, wanted] of Object.entries(selector.matchLabels ?? {})) if (value(key) !== wanted) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const found = value(key);
    switch (operator) {
      case 'In':
        if (found === undefined || !values.includes(found)) return false;
        break;
      case 'NotIn':
        if (found !== undefined && values.includes(found)) return false;
        break;
      case 'Exists':
        if (found === undefined) return false;
        break;
      case 'DoesNotExist':
        if (found !== undefined) return false;
        break;
    }
  }
  return true;
}
