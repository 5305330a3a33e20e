-- include: notify.server.lifetimes
-- Has a callback called of a run that did not end by itself, unless the process of the run has begun to call it. It runs in the transaction
-- that records the end of the run.
-- KEYS    callbacks  ns:callbacks:<queue>
--         job        rq:job:<id>
-- ARGV    fence  of the run
--         owed   the callback, as JSON
--         most   how many of them are kept for a queue
-- returns how many are kept now, or 0
local callbacks, job = unpack(KEYS)
local fence, owed, most = unpack(ARGV)
if redis.pcall('HGET', job, 'called_back') == fence then return 0 end
local kept = redis.pcall('RPUSH', callbacks, owed) -- pcall: a spoilt key must not keep the end from being recorded
if type(kept) == 'table' then return 0 end
redis.call('LTRIM', callbacks, -most, -1)
redis.call('PEXPIRE', callbacks, WEEK_MS)
return math.min(kept, most)
