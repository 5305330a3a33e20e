-- Notes that the process of a run begins to call its on_failure: nobody else calls it then.
-- KEYS    job  rq:job:<id>
-- ARGV    fence  of the run
-- returns 1, or 0 if another run has the job, or it was stopped
local job = KEYS[1]
local fence = ARGV[1]
if redis.call('HGET', job, 'fence') ~= fence then return 0 end
redis.call('HSET', job, 'called_back', fence)
return 1
