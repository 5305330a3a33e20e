-- Decides, once, that a run ends by itself: from here on the job finishes or fails, and a stop comes too late.
-- KEYS    job  rq:job:<id>
-- ARGV    fence  of the run
-- returns 1, or 0 if the run was stopped or superseded before
local job = KEYS[1]
local fence = ARGV[1]
local known = redis.call('HMGET', job, 'fence', 'status')
if known[1] ~= fence or known[2] ~= 'started' then return 0 end
redis.call('HSET', job, 'sealed', '1')
return 1
