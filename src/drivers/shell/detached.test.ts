import { keepsJobs } from './shell.fixture.ts';

keepsJobs({ name: 'sh', command: ['sh'] });
