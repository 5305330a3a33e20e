-- Notes in a job how its call is written, so that no claim has to unpack it again.
-- KEYS    job  rq:job:<id>
-- ARGV    call  "json" or "pickled"
-- returns 1, or 0 if the job is gone
local job = KEYS[1]
local call = ARGV[1]
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, 'call', call)
return 1
