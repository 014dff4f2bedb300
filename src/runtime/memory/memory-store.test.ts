import { storeConformance } from '../conformance.fixture.ts';
import { MemoryStore } from './memory-store.ts';

storeConformance('memory', () => {
  const store = new MemoryStore();
  return { open: () => store, remove: () => {} };
});
