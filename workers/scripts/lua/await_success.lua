-- include: notify.server.now
-- include: notify.server.lifetimes
-- Adds a job to the jobs that are cancelled when a job on which they depend ends without success. Call this before it is enqueued: so no
-- crash leaves it out.
-- KEYS    dependents  ns:dependents
-- ARGV    id
-- returns nothing
local dependents = KEYS[1]
local id = ARGV[1]
redis.call('ZADD', dependents, text(now_ms()), id)
redis.call('PEXPIRE', dependents, MONTH_MS)
