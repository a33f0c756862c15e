export * from '@ottla/client';
