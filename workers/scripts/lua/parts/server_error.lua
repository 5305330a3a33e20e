-- Tells errors of the server from those of a job.
--
-- message_of(problem) -> the text of an error that pcall() has caught
-- is_of_server(problem) -> whether it is about the server and not about the job: the memory is full, or a right is missing
local OF_SERVER = {'OOM command not allowed', 'ACL failure in script', "The user executing the script can't"} -- the last is Redis 6's

local function message_of(problem)
  return tostring(type(problem) == 'table' and problem.err or problem)
end

local function is_of_server(problem)
  for _, part in ipairs(OF_SERVER) do
    if string.find(message_of(problem), part, 1, true) then return true end
  end
  return false
end
