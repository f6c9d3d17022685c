-- Puts states in the place of those that are there, and sets timers that are missing.
--
-- ARGV: the number of the last event on which the states were worked out, the number of roles, the roles, then of each
-- timer: role, member, due time. Answers with 1; 0 where the log has gone on: then only what was made goes again.

local seq, count = take(2)
local is_current = (redis.call('GET', KEYS[1]) or '0') == seq
for _ = 1, tonumber(count) do
    local role = take(1)
    local made = prefix .. 'rebuild:' .. role
    if not is_current then
        redis.call('DEL', made)
    elseif redis.call('EXISTS', made) == 1 then
        redis.call('RENAME', made, prefix .. 'state:' .. role)
    else
        redis.call('DEL', prefix .. 'state:' .. role)
    end
end
if not is_current then
    return 0
end
for _ = taken + 1, #ARGV, 3 do
    local role, member, due = take(3)
    if redis.call('HSETNX', prefix .. 'timer:' .. role, member, due) == 1 then
        redis.call('ZADD', prefix .. 'timers:' .. role, due, member)
    end
end
return 1
