// What both sides are configured with.

// The providers whose mutations the scenario sends.
export const PROVIDERS = ['first', 'second'];

export const RULES = [{ allow: ['Component', 'API', 'Resource', 'System', 'Domain', 'Group', 'User', 'Location'] }];
