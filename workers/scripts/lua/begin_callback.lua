-- Notes that a callback of a run begins to be called, on_failure by its process or on_stopped by its worker: nobody else calls it then.
-- KEYS    job  rq:job:<id>
-- ARGV    fence  of the run
-- returns 1, or 0 if another run has the job
local job = KEYS[1]
local fence = ARGV[1]
local known = redis.call('HMGET', job, 'fence', 'stopped')
if known[1] ~= fence and known[2] ~= fence then return 0 end
redis.call('HSET', job, 'called_back', fence)
return 1
