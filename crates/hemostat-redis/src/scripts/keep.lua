-- Notes that a role's groups have a member that lives, and what its members have lost.
--
-- ARGV: the role, then of each stream: its name, and how many entries of the group were found to be gone.

local role, time = take(1), text(math.floor(now() / 1000))
for _ = 2, #ARGV, 2 do
    local stream, gone = take(2)
    local field = role .. ' ' .. stream
    redis.call('HSET', prefix .. 'groups', field, time)
    if gone ~= '0' then
        redis.call('HINCRBY', prefix .. 'lost', field, gone)
    end
end
return 1
