-- Sends an answer to a caller.
-- KEYS    answers  ns:answers:<caller>
-- ARGV    answer       as JSON
--         kept_ms      for how long the answer is kept
--         max_waiting  how many answers may wait at most
-- returns the id of the entry
local answers = KEYS[1]
local answer, kept_ms, max_waiting = unpack(ARGV)
local id = redis.call('XADD', answers, 'MAXLEN', '~', max_waiting, '*', 'answer', answer)
if redis.call('PTTL', answers) < tonumber(kept_ms) then
  redis.call('PEXPIRE', answers, kept_ms)
end
return id
