-- Takes a callback: whoever removes it from the list calls it.
-- KEYS    callbacks  ns:callbacks:<queue>
--         job        rq:job:<id>
-- ARGV    owed  the callback, as JSON
-- returns {1 if this took it or else 0, the fields and values of the job}
local callbacks, job = unpack(KEYS)
local owed = ARGV[1]
if redis.call('LREM', callbacks, 1, owed) == 0 then return {0} end
return {1, redis.call('HGETALL', job)}
